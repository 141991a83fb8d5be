import type { Command } from "commander";
import { HoldfastError, isHoldfastError } from "../../base/index.ts";
import type { Invocation } from "../offline/session.ts";
import { say } from "../offline/session.ts";
import { warnIfUnencrypted } from "../online/server-choice.ts";
import { askSecret, askText } from "../prompt.ts";
import type { RunCommand } from "../run-command.ts";

interface LoginOptions {
  readonly user?: string;
  readonly token: boolean;
}

export function registerLoginCommands(program: Command, run: RunCommand): void {
  program
    .command("login")
    .description("Sign in to a server; what that gives is kept in a file that nobody else may read")
    .argument("[server]", "its address (default: $HOLDFAST_SERVER)")
    .option("--user <email>", "who signs in, with a password that is asked for or comes from standard input")
    .option("--token", "with an API token, asked for or from standard input", false)
    .action(run((invocation, options: LoginOptions, server?: string) => login(invocation, options, server)));
  program
    .command("logout")
    .description("End a sign-in to a server, there and here")
    .argument("[server]", "its address (default: $HOLDFAST_SERVER)")
    .action(run((invocation, _options: unknown, server?: string) => logout(invocation, server)));
}

/** Loaded by the commands that need it: what speaks HTTP takes a while. */
async function parts(invocation: Invocation, server: string | undefined) {
  const named = server ?? invocation.host.env["HOLDFAST_SERVER"] ?? "";
  if (named === "") {
    throw new HoldfastError("INPUT_INVALID", "There is no server to sign in to.", {
      remedy: "Name it:  holdfast login https://backups.example.com",
    });
  }
  const client = await import("../../client/index.ts");
  const address = client.parseServerUrl(named);
  if (address.kind !== "url") throw new TypeError("what is named by a URL has one");
  const { signal } = invocation.host;
  const { StoredSignIns } = await import("../online/stored-sign-ins.ts");
  return {
    address,
    anybody: new client.ApiClient({ address, signal }),
    withToken: (token: string) =>
      new client.ApiClient({ address, signal, tokens: { get: () => Promise.resolve(token) } }),
    signIns: new StoredSignIns(invocation.host),
  };
}

async function login(invocation: Invocation, options: LoginOptions, server: string | undefined): Promise<number> {
  const { address, anybody, withToken, signIns } = await parts(invocation, server);
  await warnIfUnencrypted(invocation, address);
  if (options.token && options.user !== undefined) {
    throw new HoldfastError("INPUT_INVALID", "A token says whose it is: --token and --user do not go together.");
  }
  const { keptOf } = await import("../online/signed-in-client.ts");
  const apiToken = options.token ? await askSecret(invocation, "API token: ") : undefined;
  const username = options.token ? "" : (options.user ?? (await askText(invocation, "E-mail address: ", "--user")));
  const issued = await anybody.call("createAccessToken", {
    parameters: {},
    body:
      apiToken === undefined
        ? { grant_type: "password", username, password: await askSecret(invocation, "Password: ") }
        : { grant_type: "api_token", api_token: apiToken },
  });
  const { email } = await withToken(issued.access_token).call("getUser", { parameters: { user: "me" } });
  await signIns.change(address.url, async () => keptOf(invocation.host, email, issued, apiToken));
  say(invocation, `Signed in to ${address.url} as ${email}.`);
  if (invocation.host.env["HOLDFAST_SERVER"] !== server && server !== undefined) {
    say(invocation, `Commands use it with:  export HOLDFAST_SERVER=${address.url}`);
  }
  return 0;
}

const doneWithWarnings = 3;

async function logout(invocation: Invocation, server: string | undefined): Promise<number> {
  const { address, anybody, signIns } = await parts(invocation, server);
  const before = await signIns.get(address.url);
  if (before === undefined) {
    say(invocation, `Nobody is signed in to ${address.url} from here.`);
    return 0;
  }
  await signIns.change(address.url, async () => undefined);
  const token = before.refreshToken ?? before.accessToken;
  try {
    if (token !== undefined) await anybody.call("revokeToken", { parameters: {}, body: { token } });
  } catch (error) {
    if (!isHoldfastError(error, "SERVER_UNREACHABLE")) throw error;
    say(invocation, `Warning: the sign-in is forgotten here, but the server was not told: ${error.message}`);
    return doneWithWarnings;
  }
  say(
    invocation,
    before.apiToken === undefined
      ? `${before.user} is signed out of ${address.url}.`
      : `The API token of ${before.user} is forgotten here. It is valid as before:  holdfast token:delete`,
  );
  return 0;
}
