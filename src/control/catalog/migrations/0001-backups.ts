import type { Migration } from "./migration.ts";

export const backups: Migration = ({ text, integer, keyed }) => [
  `CREATE TABLE backups (
     project ${text} NOT NULL,
     id ${text} NOT NULL,
     environment ${text} NOT NULL,
     created_at ${integer} NOT NULL,
     updated_at ${integer} NOT NULL,
     status ${text} NOT NULL CHECK (status IN ('CREATED', 'DELETING')),
     record ${text} NOT NULL,
     PRIMARY KEY (project, id)
   ) ${keyed}`,
  "CREATE INDEX backups_by_environment ON backups (project, environment, created_at DESC, id DESC)",
  "CREATE INDEX backups_by_time ON backups (project, created_at DESC, id DESC)",
  `CREATE TABLE environments (
     project ${text} NOT NULL,
     id ${text} NOT NULL,
     status ${text} NOT NULL,
     updated_at ${integer} NOT NULL,
     PRIMARY KEY (project, id)
   ) ${keyed}`,
];
