import { HoldfastError, isHoldfastError } from "../../base/index.ts";
import { type AccessTokens, ApiClient, type Received, RenewedTokens, type ServerAddress } from "../../client/index.ts";
import type { Operations } from "../../contract/index.ts";
import type { CliHost } from "../host.ts";
import { type StoredSignIn, StoredSignIns } from "./stored-sign-ins.ts";

/** It must not end on its way to the server. */
const marginMs = 30_000;

export type UrlAddress = Extract<ServerAddress, { readonly kind: "url" }>;
type Issued = Received<Operations["createAccessToken"]>;

/** A client of this server with an API token, else with what was stored for it, else with nothing. */
export async function signedInClient(host: CliHost, address: UrlAddress, apiToken: string): Promise<ApiClient> {
  const { signal } = host;
  if (apiToken !== "") {
    const remedy = "Look at HOLDFAST_TOKEN: the token may have been deleted. An administrator makes a new one.";
    return new ApiClient({ address, signal, signInRemedy: remedy, tokens: tokensFor(host, address, apiToken) });
  }
  const signInRemedy = `Put an API token into HOLDFAST_TOKEN, or sign in:  holdfast login ${address.url}`;
  const anybody = new ApiClient({ address, signal, signInRemedy });
  if ((await new StoredSignIns(host).get(address.url)) === undefined) return anybody;
  const tokens = new StoredTokens(host, address, anybody, signInRemedy);
  return new ApiClient({ address, signal, signInRemedy, tokens });
}

/** Access tokens for an API token. */
export function tokensFor(host: CliHost, address: ServerAddress, apiToken: string): RenewedTokens {
  const anybody = new ApiClient({ address, signal: host.signal });
  return new RenewedTokens(host.clock, async () => {
    const issued = await anybody.call("createAccessToken", {
      parameters: {},
      body: { grant_type: "api_token", api_token: apiToken },
    });
    return { accessToken: issued.access_token, expiresInSeconds: issued.expires_in };
  });
}

/** What is kept of a sign-in by which a token was issued. */
export function keptOf(host: CliHost, user: string, issued: Issued, apiToken?: string): StoredSignIn {
  return {
    user,
    ...(apiToken === undefined ? {} : { apiToken }),
    ...(issued.refresh_token === undefined ? {} : { refreshToken: issued.refresh_token }),
    accessToken: issued.access_token,
    accessUntil: new Date(host.clock.now().getTime() + issued.expires_in * 1000).toISOString(),
  };
}

/** Access tokens of what `holdfast login` has stored, renewed there for all processes. */
class StoredTokens implements AccessTokens {
  readonly #host: CliHost;
  readonly #address: UrlAddress;
  readonly #anybody: ApiClient;
  readonly #remedy: string;

  constructor(host: CliHost, address: UrlAddress, anybody: ApiClient, remedy: string) {
    this.#host = host;
    this.#address = address;
    this.#anybody = anybody;
    this.#remedy = remedy;
  }

  async get(_signal: AbortSignal, refused?: string): Promise<string> {
    const signIns = new StoredSignIns(this.#host);
    const stored = await signIns.get(this.#address.url);
    if (stored === undefined) throw this.#required("Nobody is signed in there any more.");
    const valid = this.#valid(stored, refused);
    if (valid !== undefined) return valid;
    const renewed = await signIns.change(this.#address.url, async (before) => {
      if (before === undefined) throw this.#required("Nobody is signed in there any more.");
      // Another process may have been faster.
      return this.#valid(before, refused) === undefined ? this.#renew(before) : before;
    });
    const token = renewed?.accessToken;
    if (token === undefined) throw new TypeError("what is renewed has an access token");
    return token;
  }

  #valid({ accessToken, accessUntil = "" }: StoredSignIn, refused: string | undefined): string | undefined {
    const isOver = !(Date.parse(accessUntil) - marginMs > this.#host.clock.now().getTime());
    return accessToken === refused || isOver ? undefined : accessToken;
  }

  async #renew({ user, apiToken, refreshToken = "" }: StoredSignIn): Promise<StoredSignIn> {
    try {
      const issued = await this.#anybody.call("createAccessToken", {
        parameters: {},
        body:
          apiToken === undefined
            ? { grant_type: "refresh_token", refresh_token: refreshToken }
            : { grant_type: "api_token", api_token: apiToken },
      });
      return keptOf(this.#host, user, issued, apiToken);
    } catch (error) {
      if (!isHoldfastError(error, "SIGN_IN_FAILED")) throw error;
      throw this.#required(`The sign-in of ${user} is over.`);
    }
  }

  #required(why: string): HoldfastError {
    return new HoldfastError("SIGN_IN_REQUIRED", `${this.#address.url}: ${why}`, { remedy: this.#remedy });
  }
}
