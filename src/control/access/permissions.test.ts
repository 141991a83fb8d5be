import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  environmentActions,
  type EnvironmentAction,
  environmentRole,
  environmentTypes,
  mayDoInEnvironment,
  mayDoInProject,
  projectActions,
  type ProjectAction,
  projectPermissions,
  type ProjectRights,
} from "./permissions.ts";

const rights = (...permissions: ProjectRights["permissions"]): ProjectRights => ({ administrator: false, permissions });
const actions = Object.keys(environmentActions) as EnvironmentAction[];

describe("permissions", () => {
  test("of a type of environment hold for that type alone", () => {
    const developer = rights("development:admin", "staging:viewer");
    expect(environmentTypes.map((type) => environmentRole(developer, type))).toEqual([undefined, "viewer", "admin"]);
    expect(actions.filter((action) => mayDoInEnvironment(developer, "development", action))).toEqual(actions);
    expect(actions.filter((action) => mayDoInEnvironment(developer, "staging", action))).toEqual(["view", "branch"]);
    expect(actions.filter((action) => mayDoInEnvironment(developer, "production", action))).toEqual([]);
  });

  test("of a contributor are to see, not to back up", () => {
    expect(
      actions.filter((action) => mayDoInEnvironment(rights("production:contributor"), "production", action)),
    ).toEqual(["view", "branch", "redeploy", "synchronize", "merge"]);
  });

  test("of a project's viewer and admin hold for every type", () => {
    for (const type of environmentTypes) {
      expect(actions.filter((action) => mayDoInEnvironment(rights("viewer"), type, action))).toEqual([
        "view",
        "branch",
      ]);
      expect(actions.every((action) => mayDoInEnvironment(rights("admin"), type, action))).toBe(true);
    }
  });

  test("in the project are its own: a type's admin changes neither settings nor access", () => {
    const allowed = (given: ProjectRights) =>
      (Object.keys(projectActions) as ProjectAction[]).filter((action) => mayDoInProject(given, action));
    expect(allowed(rights())).toEqual([]);
    expect(allowed(rights("production:admin"))).toEqual(["view"]);
    expect(allowed(rights("viewer"))).toEqual(["view", "viewAccess"]);
    expect(allowed(rights("admin"))).toEqual(Object.keys(projectActions));
    expect(allowed({ administrator: true, permissions: [] })).toEqual(Object.keys(projectActions));
  });

  test("more of them never allow less", () => {
    const some = fc.subarray([...projectPermissions]);
    fc.assert(
      fc.property(
        some,
        some,
        fc.constantFrom(...environmentTypes),
        fc.constantFrom(...actions),
        (a, b, type, action) => {
          const fewer = mayDoInEnvironment(rights(...a), type, action);
          return !fewer || mayDoInEnvironment(rights(...a, ...b), type, action);
        },
      ),
    );
  });
});
