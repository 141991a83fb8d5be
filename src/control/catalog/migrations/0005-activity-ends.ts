import type { Migration } from "./migration.ts";

/** For removing what ended long ago without reading all that is kept. */
export const activityEnds: Migration = () => [
  "CREATE INDEX activities_by_end ON activities (ended_at) WHERE ended_at IS NOT NULL",
];
