import type { Migration } from "./migration.ts";

/** Lists of one type in one state, which may be rare in a project with a hundred thousand activities. */
export const activityListing: Migration = () => [
  "CREATE INDEX activities_by_type_and_state ON activities (project, type, state, result, created_at DESC, id DESC)",
];
