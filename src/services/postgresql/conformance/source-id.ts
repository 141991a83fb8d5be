import type { SourceId } from "../../../base/index.ts";

/** The id of the service in the tests. */
export const sourceId = "service:db" as SourceId;
