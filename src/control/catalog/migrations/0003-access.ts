import type { Migration } from "./migration.ts";

/** Users, what they sign in with, and their permissions. */
export const access: Migration = ({ text, integer, keyed }) => [
  `CREATE TABLE users (
     id ${text} NOT NULL PRIMARY KEY,
     kind ${text} NOT NULL CHECK (kind IN ('person', 'machine')),
     email ${text} NOT NULL UNIQUE,
     display_name ${text} NOT NULL,
     password_hash ${text},
     administrator ${integer} NOT NULL,
     created_at ${integer} NOT NULL,
     updated_at ${integer} NOT NULL
   ) ${keyed}`,
  `CREATE TABLE api_tokens (
     id ${text} NOT NULL PRIMARY KEY,
     user_id ${text} NOT NULL,
     name ${text} NOT NULL,
     hash ${text} NOT NULL UNIQUE,
     created_at ${integer} NOT NULL,
     updated_at ${integer} NOT NULL,
     last_used_at ${integer}
   ) ${keyed}`,
  "CREATE INDEX api_tokens_by_user ON api_tokens (user_id, created_at DESC, id DESC)",
  `CREATE TABLE sessions (
     hash ${text} NOT NULL PRIMARY KEY,
     kind ${text} NOT NULL CHECK (kind IN ('access', 'refresh')),
     user_id ${text} NOT NULL,
     api_token_id ${text},
     sign_in ${text} NOT NULL,
     expires_at ${integer} NOT NULL,
     used_at ${integer}
   ) ${keyed}`,
  "CREATE INDEX sessions_by_user ON sessions (user_id)",
  "CREATE INDEX sessions_by_sign_in ON sessions (sign_in)",
  "CREATE INDEX sessions_by_expiry ON sessions (expires_at)",
  `CREATE TABLE sign_in_links (
     hash ${text} NOT NULL PRIMARY KEY,
     user_id ${text},
     expires_at ${integer} NOT NULL
   ) ${keyed}`,
  `CREATE TABLE project_access (
     project ${text} NOT NULL,
     user_id ${text} NOT NULL,
     permissions ${text} NOT NULL,
     granted_at ${integer} NOT NULL,
     updated_at ${integer} NOT NULL,
     PRIMARY KEY (project, user_id)
   ) ${keyed}`,
  "CREATE INDEX project_access_by_user ON project_access (user_id, project)",
];
