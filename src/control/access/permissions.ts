import type { EnvironmentType } from "../../engine/index.ts";

// Who may do what (spec A1): pure functions of a user's permissions in a project.

export const environmentTypes = ["production", "staging", "development"] as const satisfies readonly EnvironmentType[];

/** From less to more; each may do what those before it may. */
export const environmentRoles = ["viewer", "contributor", "admin"] as const;
export type EnvironmentRole = (typeof environmentRoles)[number];

/** As Upsun writes them: "admin" and "viewer" are of the whole project, "staging:contributor" of one type of environment. */
export type ProjectPermission = "admin" | "viewer" | `${EnvironmentType}:${EnvironmentRole}`;

export const projectPermissions: readonly ProjectPermission[] = [
  "admin",
  "viewer",
  ...environmentTypes.flatMap((type) => environmentRoles.map((role) => `${type}:${role}` as const)),
];

/** What a caller may do in one project. */
export interface ProjectRights {
  /** An administrator of the installation may do everything everywhere. */
  readonly administrator: boolean;
  readonly permissions: readonly ProjectPermission[];
}

/** What can be done to an environment, and the role on its type that it needs. */
export const environmentActions = {
  view: "viewer",
  backUp: "admin",
  restore: "admin",
  deleteBackup: "admin",
  readBackup: "admin",
  edit: "admin",
  activate: "admin",
  deactivate: "admin",
  pause: "admin",
  resume: "admin",
  cancelActivity: "admin",
  delete: "admin",
  // What a server that does not deploy cannot do, by Upsun's roles.
  branch: "viewer",
  redeploy: "contributor",
  synchronize: "contributor",
  merge: "contributor",
} as const satisfies Record<string, EnvironmentRole>;

export type EnvironmentAction = keyof typeof environmentActions;

/** What can be done to a project: by its members (whoever has a permission in it), by its viewers, by its admins. */
export const projectActions = {
  view: "member",
  viewAccess: "viewer",
  editSettings: "admin",
  editAccess: "admin",
  viewAuditTrail: "admin",
} as const satisfies Record<string, "member" | "viewer" | "admin">;

export type ProjectAction = keyof typeof projectActions;

const isProjectAdmin = ({ administrator, permissions }: ProjectRights): boolean =>
  administrator || permissions.includes("admin");

/** The role on environments of this type; undefined for none, so that they are not even seen. */
export function environmentRole(rights: ProjectRights, type: EnvironmentType): EnvironmentRole | undefined {
  if (isProjectAdmin(rights)) return "admin";
  return (
    environmentRoles.findLast((role) => rights.permissions.includes(`${type}:${role}`)) ??
    (rights.permissions.includes("viewer") ? "viewer" : undefined)
  );
}

export function mayDoInEnvironment(rights: ProjectRights, type: EnvironmentType, action: EnvironmentAction): boolean {
  const role = environmentRole(rights, type);
  return role !== undefined && environmentRoles.indexOf(role) >= environmentRoles.indexOf(environmentActions[action]);
}

export function mayDoInProject(rights: ProjectRights, action: ProjectAction): boolean {
  if (isProjectAdmin(rights)) return true;
  switch (projectActions[action]) {
    case "member":
      return rights.permissions.length > 0;
    case "viewer":
      return rights.permissions.includes("viewer");
    case "admin":
      return false;
  }
}
