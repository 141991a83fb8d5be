import { createHash } from "node:crypto";

const script = `
const form = document.forms[0];
const out = document.querySelector("output");
form.link.value = location.hash.slice(1);
history.replaceState(null, "", location.pathname);
const post = async (path, body, token) => {
  const headers = { "content-type": "application/json" };
  if (token) headers.authorization = "Bearer " + token;
  const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
  const value = await answer.json();
  if (!answer.ok) throw new Error(value.message + (value.detail ? " " + value.detail : ""));
  return value;
};
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const given = { link: form.link.value, password: form.password.value };
  if (form.email.value) given.email = form.email.value;
  if (form.name.value) given.display_name = form.name.value;
  out.textContent = "One moment ...";
  try {
    const user = await post("setup", given);
    form.hidden = true;
    out.textContent = user.email + " has a password now.";
    if (form.token.checked) {
      const session = await post("oauth2/token", { grant_type: "password", username: user.email, password: given.password });
      const token = await post("users/me/api-tokens", { name: "first" }, session.access_token);
      out.textContent += " Your API token, which is shown this once: " + token.token;
    }
  } catch (error) {
    out.textContent = error.message;
  }
});
`;

const style = `
body { font: 16px/1.5 system-ui, sans-serif; max-width: 32rem; margin: 4rem auto; padding: 0 1rem; color: #1c2430; }
label { display: block; margin: 1rem 0; }
input:not([type=checkbox]) { display: block; width: 100%; box-sizing: border-box; padding: .5rem; font: inherit; }
button { padding: .5rem 1.5rem; font: inherit; }
output { display: block; margin-top: 1rem; overflow-wrap: anywhere; }
`;

/** What a person sees who opens a one-time link. The link's secret stands after "#", so it reaches no log on the way. */
export const setupPage = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Holdfast: set your password</title>
<style>${style}</style>
<h1>Set your password</h1>
<form>
<label>Code of your one-time link <input name="link" required autocomplete="off"></label>
<label>E-mail address (first administrator only) <input name="email" type="email" autocomplete="username"></label>
<label>Name (first administrator only) <input name="name" autocomplete="name"></label>
<label>Password, at least 12 characters <input name="password" type="password" minlength="12" required autocomplete="new-password"></label>
<label><input name="token" type="checkbox" checked> Also make an API token, for the command line</label>
<button>Set password</button>
</form>
<output></output>
<script>${script}</script>
`;

const hashOf = (text: string): string => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

/** The page runs its own script and style, and loads nothing. */
export const setupPageHeaders: Readonly<Record<string, string>> = {
  "content-security-policy": [
    "default-src 'none'",
    `script-src ${hashOf(script)}`,
    `style-src ${hashOf(style)}`,
    "connect-src 'self'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ].join("; "),
};
