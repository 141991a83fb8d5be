import type { Migration } from "./migration.ts";

/** What the activities of an environment are filtered by is in the index, so that no others are read than those that are listed. */
export const environmentListing: Migration = () => [
  "DROP INDEX activities_by_environment",
  "CREATE INDEX activities_by_environment ON activities (project, environment, created_at DESC, id DESC, type, state, result)",
];
