import { z } from "zod";
import type { Operation } from "../operation.ts";
import {
  apiToken,
  createdApiToken,
  createdUser,
  extendedAccess,
  newApiToken,
  newUser,
  projectUserAccess,
  signInLink,
  user,
  userPatch,
  userReference,
} from "../shapes/access.ts";
import { projectReference } from "../shapes/project.ts";
import { links, named } from "../shapes/shape.ts";

const ids = z.object({ in: z.string().max(10_000) });

export const verification = named("Verification", z.strictObject({ state: z.boolean(), type: z.string() }));

/** People, machine users, and what they sign in with. `{user}` may be "me". */
export const userOperations = {
  listUsers: {
    path: "/users",
    method: "GET",
    summary: "All users; for administrators",
    tag: "users",
    audience: "signed-in",
    answer: { status: 200, shape: named("Users", z.array(user)) },
  },
  createUser: {
    path: "/users",
    method: "POST",
    summary: "Make a person or a machine user; for administrators",
    tag: "users",
    audience: "signed-in",
    body: newUser,
    answer: { status: 201, shape: createdUser },
  },
  getUser: {
    path: "/users/{user}",
    method: "GET",
    summary: "A user: oneself as `me`; others for administrators",
    tag: "users",
    audience: "signed-in",
    answer: { status: 200, shape: user },
  },
  updateUser: {
    path: "/users/{user}",
    method: "PATCH",
    summary: "Change a user's name, or make an administrator; for administrators",
    tag: "users",
    audience: "signed-in",
    body: userPatch,
    answer: { status: 200, shape: user },
  },
  deleteUser: {
    path: "/users/{user}",
    method: "DELETE",
    summary: "Delete a user with their tokens and permissions; for administrators",
    tag: "users",
    audience: "signed-in",
    answer: { status: 204 },
  },
  createSignInLink: {
    path: "/users/{user}/sign-in-links",
    method: "POST",
    summary: "A one-time link with which a person sets a new password; for administrators",
    tag: "users",
    audience: "signed-in",
    answer: { status: 201, shape: signInLink },
  },
  listApiTokens: {
    path: "/users/{user}/api-tokens",
    method: "GET",
    summary: "A user's API tokens, newest first; one's own, others' for administrators",
    tag: "users",
    audience: "signed-in",
    answer: { status: 200, shape: named("ApiTokens", z.array(apiToken)) },
  },
  createApiToken: {
    path: "/users/{user}/api-tokens",
    method: "POST",
    summary: "Make an API token, which is shown this once",
    tag: "users",
    audience: "signed-in",
    body: newApiToken,
    answer: { status: 201, shape: createdApiToken },
  },
  getApiToken: {
    path: "/users/{user}/api-tokens/{token}",
    method: "GET",
    summary: "What is known of an API token",
    tag: "users",
    audience: "signed-in",
    answer: { status: 200, shape: apiToken },
  },
  deleteApiToken: {
    path: "/users/{user}/api-tokens/{token}",
    method: "DELETE",
    summary: "Revoke an API token and what it was exchanged for, at once",
    tag: "users",
    audience: "signed-in",
    answer: { status: 204 },
  },
  listExtendedAccess: {
    path: "/users/{user}/extended-access",
    method: "GET",
    summary: "The projects that a user has permissions in",
    tag: "users",
    audience: "signed-in",
    answer: {
      status: 200,
      shape: named("ExtendedAccessList", z.strictObject({ items: z.array(extendedAccess), _links: links })),
    },
  },
  listProjectAccess: {
    path: "/users/{user}/project-access",
    method: "GET",
    summary: "A user's permissions in each project",
    tag: "users",
    audience: "signed-in",
    answer: {
      status: 200,
      shape: named("ProjectAccessList", z.strictObject({ items: z.array(projectUserAccess), _links: links })),
    },
  },
  listUserReferences: {
    path: "/ref/users",
    method: "GET",
    summary: "Users by id: those that share a project with the caller",
    tag: "users",
    audience: "signed-in",
    query: ids,
    answer: { status: 200, shape: named("UserReferences", z.record(z.string(), userReference.nullable())) },
  },
  listProjectReferences: {
    path: "/ref/projects",
    method: "GET",
    summary: "Projects by id: those that the caller may see",
    tag: "projects",
    audience: "signed-in",
    query: ids,
    answer: { status: 200, shape: named("ProjectReferences", z.record(z.string(), projectReference.nullable())) },
  },
  checkVerification: {
    path: "/me/verification",
    method: "POST",
    summary: "Does Upsun's client have to ask for a telephone number? Never",
    tag: "users",
    audience: "signed-in",
    answer: { status: 200, shape: verification },
  },
} as const satisfies Record<string, Operation>;
