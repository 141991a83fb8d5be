import { z } from "zod";
import { id, links, named, timestamp } from "./shape.ts";

const environmentTypes = ["production", "staging", "development"] as const;
const roles = ["admin", "contributor", "viewer"] as const;

export const permission = named(
  "ProjectPermission",
  z.enum(["admin", "viewer", ...environmentTypes.flatMap((type) => roles.map((role) => `${type}:${role}` as const))]),
);

export const user = named(
  "User",
  z.strictObject({
    id,
    username: z.string(),
    email: z.string(),
    display_name: z.string(),
    first_name: z.string(),
    last_name: z.string(),
    /** A machine user signs in with API tokens only. */
    machine: z.boolean(),
    /** Of the whole installation. */
    administrator: z.boolean(),
    /** False for machine users, and until a person has used their sign-in link. */
    has_password: z.boolean(),
    deactivated: z.boolean(),
    email_verified: z.boolean(),
    mfa_enabled: z.boolean(),
    phone_number_verified: z.boolean(),
    created_at: timestamp,
    updated_at: timestamp,
    _links: links,
  }),
);

const email = z.string().min(3).max(254);
const displayName = z.string().min(1).max(200);

export const newUser = named(
  "NewUser",
  z.strictObject({
    email,
    display_name: displayName.optional(),
    machine: z.boolean().optional(),
    administrator: z.boolean().optional(),
  }),
);

/** A new person gets a link with which they set their password. It is shown once. */
export const createdUser = named("CreatedUser", user.extend({ sign_in_link: z.string().optional() }));

export const userPatch = named(
  "UserPatch",
  z.strictObject({ display_name: displayName.optional(), administrator: z.boolean().optional() }),
);

export const signInLink = named("SignInLink", z.strictObject({ sign_in_link: z.string() }));

export const signInLinkInput = named(
  "SignInLinkInput",
  z.strictObject({
    link: z.string().max(200),
    password: z.string().max(1000),
    /** Of the first administrator. */
    email: email.optional(),
    display_name: displayName.optional(),
  }),
);

export const userReference = named(
  "UserReference",
  z.strictObject({
    id,
    email: z.string(),
    username: z.string(),
    first_name: z.string(),
    last_name: z.string(),
    picture: z.string(),
    mfa_enabled: z.boolean(),
  }),
);

export const projectUserAccess = named(
  "ProjectUserAccess",
  z.strictObject({
    project_id: id,
    organization_id: z.string(),
    user_id: id,
    permissions: z.array(permission),
    granted_at: timestamp,
    updated_at: timestamp,
    _links: links,
  }),
);

/** As an array, of one user each, or one alone. */
const grantInput = z.strictObject({
  user_id: id,
  permissions: z.array(permission).min(1).max(20),
  auto_add_member: z.boolean().optional(),
});
export const projectUserAccessInput = named(
  "ProjectUserAccessInput",
  z.union([z.array(grantInput).min(1).max(100), grantInput]),
);

export const permissionsPatch = named(
  "PermissionsPatch",
  z.strictObject({ permissions: z.array(permission).min(1).max(20) }),
);

export const extendedAccess = named(
  "ExtendedAccess",
  z.strictObject({
    resource_id: id,
    resource_type: z.literal("project"),
    organization_id: z.string(),
    user_id: id,
    permissions: z.array(permission),
    granted_at: timestamp,
    updated_at: timestamp,
  }),
);

export const apiToken = named(
  "ApiToken",
  z.strictObject({
    id,
    name: z.string(),
    mfa_on_creation: z.boolean(),
    created_at: timestamp,
    updated_at: timestamp,
    last_used_at: timestamp.nullable(),
    _links: links,
  }),
);
/** The only time that the token itself is there. */
export const createdApiToken = named("CreatedApiToken", apiToken.extend({ token: z.string() }));
export const newApiToken = named("NewApiToken", z.strictObject({ name: z.string().min(1).max(200) }));

export const auditEntry = named(
  "AuditEntry",
  z.strictObject({
    id,
    at: timestamp,
    /** "backup.create", "api-token.delete", ... */
    action: z.string(),
    actor: z.strictObject({ id: z.string(), name: z.string(), address: z.string().nullable() }),
    project: id.nullable(),
    environment: id.nullable(),
    subject: z.string().nullable(),
    facts: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
    request_id: z.string().nullable(),
  }),
);

/** RFC 6749. Sent as a form or as JSON. */
export const tokenRequest = named(
  "TokenRequest",
  z.looseObject({
    grant_type: z.string().max(100),
    api_token: z.string().max(1000).optional(),
    refresh_token: z.string().max(1000).optional(),
    username: z.string().max(254).optional(),
    password: z.string().max(1000).optional(),
  }),
);
export const tokenResponse = named(
  "TokenResponse",
  z.strictObject({
    access_token: z.string(),
    /** Seconds. */
    expires_in: z.int(),
    token_type: z.literal("bearer"),
    scope: z.string(),
    refresh_token: z.string().optional(),
  }),
);
export const revokeRequest = named("RevokeRequest", z.looseObject({ token: z.string().max(1000) }));
