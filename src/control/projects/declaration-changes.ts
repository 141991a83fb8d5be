import type { EnvironmentId, ProjectId } from "../../base/index.ts";
import type { DeclaredProject } from "./declaration.ts";
import type { CatalogEnvironment, CatalogProject } from "./project-store.ts";

/** One difference between what the configuration declares and what the catalog has. */
export type DeclarationChange = {
  readonly project: ProjectId;
  /** Undefined: the project itself. */
  readonly environment: EnvironmentId | undefined;
} & (
  | { readonly kind: "added" }
  /** It is in the configuration no longer; its backups and activities stay. */
  | { readonly kind: "gone" }
  /** The configuration's value takes the place of the catalog's. */
  | {
      readonly kind: "changed";
      readonly field: "title" | "type" | "parent";
      readonly from: string;
      readonly to: string;
    }
  /** The catalog's value stays, whatever the configuration says. */
  | { readonly kind: "kept"; readonly field: "status"; readonly is: string; readonly declared: string }
);

/** What declaring `projects` changes in the catalog, and what it does not although they differ. */
export function declarationChanges(
  declared: readonly DeclaredProject[],
  known: readonly CatalogProject[],
  environments: readonly CatalogEnvironment[],
  options: { readonly complete: boolean },
): readonly DeclarationChange[] {
  const changes: DeclarationChange[] = [];
  for (const project of declared) {
    const there = known.find(({ id }) => id === project.id);
    const place = { project: project.id, environment: undefined };
    if (there === undefined) changes.push({ ...place, kind: "added" });
    else changes.push(...changed(place, "title", there.title, project.title));
    for (const environment of project.environments) {
      const place = { project: project.id, environment: environment.id };
      const found = environments.find(({ project, id }) => project === place.project && id === place.environment);
      if (found?.declared !== true) changes.push({ ...place, kind: "added" });
      if (found === undefined) continue;
      if (found.declared) {
        changes.push(
          ...changed(place, "title", found.title, environment.title),
          ...changed(place, "type", found.type, environment.type),
          ...changed(place, "parent", found.parent ?? "", environment.parent ?? ""),
        );
      }
      if (found.status !== environment.initialStatus) {
        changes.push({
          ...place,
          kind: "kept",
          field: "status",
          is: found.status,
          declared: environment.initialStatus,
        });
      }
    }
  }
  if (!options.complete) return changes;
  const isDeclared = (project: ProjectId, environment?: EnvironmentId): boolean =>
    declared.some(
      ({ id, environments }) =>
        id === project && (environment === undefined || environments.some((one) => one.id === environment)),
    );
  for (const { id, declared } of known) {
    if (declared && !isDeclared(id)) changes.push({ project: id, environment: undefined, kind: "gone" });
  }
  for (const { project, id, declared } of environments) {
    if (declared && !isDeclared(project, id)) changes.push({ project, environment: id, kind: "gone" });
  }
  return changes;
}

function changed(
  place: Pick<DeclarationChange, "project" | "environment">,
  field: "title" | "type" | "parent",
  from: string,
  to: string,
): DeclarationChange[] {
  return from === to ? [] : [{ ...place, kind: "changed", field, from, to }];
}
