import { z } from "zod";
import type { Operation } from "../operation.ts";
import { auditEntry, permissionsPatch, projectUserAccess, projectUserAccessInput } from "../shapes/access.ts";
import { capabilities, environmentTypeShape, project } from "../shapes/project.ts";
import { projectSettings, projectSettingsPatch, updatedSettings } from "../shapes/settings.ts";
import { links, named, timestamp } from "../shapes/shape.ts";

const pageOfAudit = z.object({
  before: timestamp.optional(),
  count: z.coerce.number().int().min(1).max(1000).optional(),
});
const auditEntries = named("AuditEntries", z.array(auditEntry));
const accessList = named("ProjectUserAccessList", z.strictObject({ items: z.array(projectUserAccess), _links: links }));

/** Projects, their settings, and who may do what in them. */
export const projectOperations = {
  listProjects: {
    path: "/projects",
    method: "GET",
    summary: "The projects that the caller may see",
    tag: "projects",
    audience: "signed-in",
    answer: { status: 200, shape: named("Projects", z.array(project)) },
  },
  getProject: {
    path: "/projects/{project}",
    method: "GET",
    summary: "A project",
    tag: "projects",
    audience: "signed-in",
    answer: { status: 200, shape: project },
  },
  getCapabilities: {
    path: "/projects/{project}/capabilities",
    method: "GET",
    summary: "What this server can do",
    tag: "projects",
    audience: "signed-in",
    answer: { status: 200, shape: capabilities },
  },
  getSettings: {
    path: "/projects/{project}/settings",
    method: "GET",
    summary: "A project's settings",
    tag: "projects",
    audience: "signed-in",
    answer: { status: 200, shape: projectSettings },
  },
  updateSettings: {
    path: "/projects/{project}/settings",
    method: "PATCH",
    summary: "Change a project's settings; what is not named stays as it is",
    tag: "projects",
    audience: "signed-in",
    body: projectSettingsPatch,
    answer: { status: 200, shape: updatedSettings },
  },
  listEnvironmentTypes: {
    path: "/projects/{project}/environment-types",
    method: "GET",
    summary: "The types of environments",
    tag: "projects",
    audience: "signed-in",
    answer: { status: 200, shape: named("EnvironmentTypes", z.array(environmentTypeShape)) },
  },
  getEnvironmentType: {
    path: "/projects/{project}/environment-types/{type}",
    method: "GET",
    summary: "A type of environments",
    tag: "projects",
    audience: "signed-in",
    answer: { status: 200, shape: environmentTypeShape },
  },
  listUserAccess: {
    path: "/projects/{project}/user-access",
    method: "GET",
    summary: "Who may do what in a project",
    tag: "access",
    audience: "signed-in",
    answer: { status: 200, shape: accessList },
  },
  grantUserAccess: {
    path: "/projects/{project}/user-access",
    method: "POST",
    summary: "Give users permissions in a project",
    tag: "access",
    audience: "signed-in",
    body: projectUserAccessInput,
    answer: { status: 200, shape: accessList },
  },
  getUserAccess: {
    path: "/projects/{project}/user-access/{user}",
    method: "GET",
    summary: "A user's permissions in a project",
    tag: "access",
    audience: "signed-in",
    answer: { status: 200, shape: projectUserAccess },
  },
  updateUserAccess: {
    path: "/projects/{project}/user-access/{user}",
    method: "PATCH",
    summary: "Give a user exactly these permissions in a project",
    tag: "access",
    audience: "signed-in",
    body: permissionsPatch,
    answer: { status: 200, shape: projectUserAccess },
  },
  removeUserAccess: {
    path: "/projects/{project}/user-access/{user}",
    method: "DELETE",
    summary: "Take a user's permissions in a project away",
    tag: "access",
    audience: "signed-in",
    answer: { status: 204 },
  },
  listTeamAccess: {
    path: "/projects/{project}/team-access",
    method: "GET",
    summary: "Always empty: there are no teams",
    tag: "access",
    audience: "signed-in",
    answer: {
      status: 200,
      shape: named("TeamAccessList", z.strictObject({ items: z.array(z.never()), _links: links })),
    },
  },
  listProjectAuditTrail: {
    path: "/projects/{project}/audit-trail",
    method: "GET",
    summary: "Who changed what in a project, newest first; for its admins",
    tag: "access",
    audience: "signed-in",
    query: pageOfAudit,
    answer: { status: 200, shape: auditEntries },
  },
  listAuditTrail: {
    path: "/audit-trail",
    method: "GET",
    summary: "Who changed what in the whole installation, newest first; for administrators",
    tag: "access",
    audience: "signed-in",
    query: pageOfAudit,
    answer: { status: 200, shape: auditEntries },
  },
} as const satisfies Record<string, Operation>;
