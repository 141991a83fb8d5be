/** An activity that is pending or in progress, as far as choosing the next one goes. */
export interface OpenActivity {
  readonly project: string;
  readonly id: string;
  readonly environment: string;
  readonly state: "pending" | "in_progress";
  /** Lower goes first. */
  readonly priority: number;
  readonly storage: string;
  readonly createdAtMs: number;
  /** Not before. */
  readonly availableAtMs: number;
  /** The state folder that has, or may have, the journal of what was begun. */
  readonly place: string | null;
  /** While it is in progress. */
  readonly leaseUntilMs: number | null;
}

/** How many may be in progress at once. Of an environment it is always one. */
export interface ClaimLimits {
  readonly inProject: (project: string) => number;
  readonly inStorage: number;
}

/** Who asks for work. */
export interface Claimer {
  readonly place: string;
  readonly serves: (project: string, environment: string) => boolean;
}

/**
 * The activity that the claimer should take, of all that are open: first one whose worker was lost, since its environment
 * waits for that; then the one of the most important environment, the oldest of these. Within an environment they go in the
 * order in which they were asked for, so one that has to wait holds up those behind it.
 */
export function planClaim(
  open: readonly OpenActivity[],
  nowMs: number,
  limits: ClaimLimits,
  claimer: Claimer,
): OpenActivity | undefined {
  const mine = open.filter(
    ({ project, environment, place }) =>
      claimer.serves(project, environment) && (place === null || place === claimer.place),
  );
  const lost = mine
    .filter(({ leaseUntilMs }) => leaseUntilMs !== null && leaseUntilMs <= nowMs)
    .toSorted((a, b) => Number(a.leaseUntilMs) - Number(b.leaseUntilMs) || byAge(a, b));
  if (lost[0] !== undefined) return lost[0];

  const inProgress = open.filter(({ state }) => state === "in_progress");
  const busy = new Set(inProgress.map(environmentOf));
  const inProject = countBy(inProgress, ({ project }) => project);
  const inStorage = countBy(inProgress, ({ storage }) => storage);
  const heads = new Map<string, OpenActivity>();
  for (const activity of open.filter(({ state }) => state === "pending").toSorted(byAge)) {
    const environment = environmentOf(activity);
    if (!heads.has(environment)) heads.set(environment, activity);
  }
  const claimable = mine.filter(
    (activity) =>
      heads.get(environmentOf(activity)) === activity &&
      activity.availableAtMs <= nowMs &&
      !busy.has(environmentOf(activity)) &&
      (inProject.get(activity.project) ?? 0) < limits.inProject(activity.project) &&
      (inStorage.get(activity.storage) ?? 0) < limits.inStorage,
  );
  return claimable.toSorted((a, b) => a.priority - b.priority || byAge(a, b))[0];
}

const environmentOf = ({ project, environment }: OpenActivity): string => JSON.stringify([project, environment]);

function byAge(a: OpenActivity, b: OpenActivity): number {
  return a.createdAtMs - b.createdAtMs || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
}

function countBy<T>(items: readonly T[], key: (item: T) => string): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(key(item), (counts.get(key(item)) ?? 0) + 1);
  return counts;
}
