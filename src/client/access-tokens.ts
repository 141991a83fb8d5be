import type { Clock } from "../base/index.ts";

/** Where a client's access tokens come from. */
export interface AccessTokens {
  /**
   * A token that should be valid. @param refused one that the server does not take any more
   * @throws HoldfastError SIGN_IN_FAILED, SERVER_UNREACHABLE
   */
  get(signal: AbortSignal, refused?: string): Promise<string>;
}

export interface IssuedToken {
  readonly accessToken: string;
  readonly expiresInSeconds: number;
}

/** It must not end on its way to the server. */
const marginMs = 30_000;

/** Keeps a token as long as it is valid, then has another one issued. */
export class RenewedTokens implements AccessTokens {
  readonly #issue: (signal: AbortSignal) => Promise<IssuedToken>;
  readonly #clock: Clock;
  #current: { readonly token: string; readonly untilMs: number } | undefined;

  constructor(clock: Clock, issue: (signal: AbortSignal) => Promise<IssuedToken>) {
    this.#clock = clock;
    this.#issue = issue;
  }

  async get(signal: AbortSignal, refused?: string): Promise<string> {
    const current = this.#current;
    if (current !== undefined && current.token !== refused && this.#clock.monotonicMs() < current.untilMs) {
      return current.token;
    }
    const { accessToken, expiresInSeconds } = await this.#issue(signal);
    this.#current = { token: accessToken, untilMs: this.#clock.monotonicMs() + expiresInSeconds * 1000 - marginMs };
    return accessToken;
  }
}
