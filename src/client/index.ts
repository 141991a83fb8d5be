// A client of the API: operations of src/contract over HTTP or a control socket, access tokens, logs that are followed over
// broken connections. Terms: address (where the server is), call (what an operation is asked with). It has no rules of its own.
export { type AccessTokens, type IssuedToken, RenewedTokens } from "./access-tokens.ts";
export { ApiClient, type ApiClientOptions, type Call, type Received } from "./api-client.ts";
export { followLog, type FollowOptions, type LogLine, patiently } from "./follow-log.ts";
export { failureError } from "./problem-error.ts";
export { addressText, isUnencrypted, parseServerUrl, type ServerAddress } from "./server-address.ts";
