// The HTTP adapter: from requests to what src/control offers, and back, by the contract of src/contract. Terms: caller (who
// is signed in), offer (what a link says the caller may do now), problem (an error as clients see it). It has no rules of its own.
export { type ApiServerOptions, type RunningApiServer, startApiServer } from "./api-server.ts";
export type { ApiServices, BackupContents, ConfiguredEnvironment, ConfiguredProject } from "./server-facts.ts";
export { signInLinkUrl } from "./handlers/user-handlers.ts";
