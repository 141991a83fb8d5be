import type { ApiToken, AuditEntry, ProjectGrant, User } from "../../control/index.ts";
import type { Operations, Result } from "../../contract/index.ts";
import { hrefs, links } from "./links.ts";
import { organizationId } from "./project-representation.ts";
import { timestamp, timestampOrNull } from "./times.ts";

/** @param offers whether the caller is an administrator */
export function representUser(user: User, offers: { readonly administer: boolean }): Result<Operations["getUser"]> {
  const self = hrefs.user(user.id);
  return {
    id: user.id,
    username: user.email,
    email: user.email,
    display_name: user.displayName,
    first_name: user.displayName,
    last_name: "",
    machine: user.kind === "machine",
    administrator: user.administrator,
    has_password: user.hasPassword,
    deactivated: false,
    email_verified: true,
    mfa_enabled: false,
    phone_number_verified: true,
    created_at: timestamp(user.createdAt),
    updated_at: timestamp(user.updatedAt),
    _links: links({
      self,
      "api-tokens": `${self}/api-tokens`,
      "project-access": `${self}/project-access`,
      "#edit": offers.administer && self,
      "#delete": offers.administer && self,
      "#sign-in-link": offers.administer && user.kind === "person" && `${self}/sign-in-links`,
    }),
  };
}

export function representUserReference(user: User) {
  return {
    id: user.id,
    email: user.email,
    username: user.email,
    first_name: user.displayName,
    last_name: "",
    picture: "",
    mfa_enabled: false,
  };
}

export function representGrant(
  grant: ProjectGrant,
  offers: { readonly edit: boolean },
): Result<Operations["getUserAccess"]> {
  const self = `${hrefs.project(grant.project)}/user-access/${encodeURIComponent(grant.user)}`;
  return {
    project_id: grant.project,
    organization_id: organizationId,
    user_id: grant.user,
    permissions: [...grant.permissions],
    granted_at: timestamp(grant.grantedAt),
    updated_at: timestamp(grant.updatedAt),
    _links: links({
      self,
      update: offers.edit && self,
      delete: offers.edit && self,
      "#edit": offers.edit && self,
      "#delete": offers.edit && self,
    }),
  };
}

export function representApiToken(token: ApiToken): Result<Operations["getApiToken"]> {
  const self = `${hrefs.user(token.user)}/api-tokens/${encodeURIComponent(token.id)}`;
  return {
    id: token.id,
    name: token.name,
    mfa_on_creation: false,
    created_at: timestamp(token.createdAt),
    updated_at: timestamp(token.updatedAt),
    last_used_at: timestampOrNull(token.lastUsedAt),
    _links: links({ self, "#delete": self }),
  };
}

export function representAuditEntry(entry: AuditEntry): Result<Operations["listAuditTrail"]>[number] {
  const { id, name, address, requestId } = entry.author;
  return {
    id: entry.id,
    at: timestamp(entry.at),
    action: entry.action,
    actor: { id, name, address },
    project: entry.project ?? null,
    environment: entry.environment ?? null,
    subject: entry.subject ?? null,
    facts: { ...entry.facts },
    request_id: requestId ?? null,
  };
}
