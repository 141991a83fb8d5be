import type { EnvironmentId, ProjectId } from "../../base/index.ts";
import type { EnvironmentStatus, EnvironmentType } from "../../engine/index.ts";

/** What the configuration says of an environment that the catalog keeps. */
export interface DeclaredEnvironment {
  readonly id: EnvironmentId;
  readonly title: string;
  readonly type: EnvironmentType;
  readonly parent: EnvironmentId | undefined;
  /** At first; the catalog has it from then on. */
  readonly initialStatus: EnvironmentStatus;
}

export interface DeclaredProject {
  readonly id: ProjectId;
  readonly title: string;
  readonly environments: readonly DeclaredEnvironment[];
}
