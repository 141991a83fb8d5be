import type { CatalogDatabase } from "../catalog/catalog-database.ts";
import { ApiTokens } from "./api-tokens.ts";
import { AuditTrail } from "./audit-trail.ts";
import { ProjectAccess } from "./project-access.ts";
import { Sessions } from "./sessions.ts";
import { SignInLinks } from "./sign-in-links.ts";
import { Users } from "./users.ts";

/** Everything about who may do what: people and machines, what they sign in with, their permissions, what they did. */
export interface Access {
  readonly users: Users;
  readonly apiTokens: ApiTokens;
  readonly sessions: Sessions;
  readonly signInLinks: SignInLinks;
  readonly projectAccess: ProjectAccess;
  readonly auditTrail: AuditTrail;
}

export function openAccess(database: CatalogDatabase): Access {
  return {
    users: new Users(database),
    apiTokens: new ApiTokens(database),
    sessions: new Sessions(database),
    signInLinks: new SignInLinks(database),
    projectAccess: new ProjectAccess(database),
    auditTrail: new AuditTrail(database),
  };
}
