// How an environment's requests are drained, held and released. It knows nothing of backups.
export type { Gateway, Hold, HoldFigures, HoldOptions } from "./gateway.ts";
