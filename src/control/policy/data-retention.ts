import type { EnvironmentType } from "../../engine/index.ts";
import type { JsonObject, JsonValue } from "../activities/activity.ts";
import { type ManualBackupPolicy, manualBackupPolicy, type ProfileName } from "./profiles.ts";

// A project's data retention: what its profile says, overridden key by key by what was set (spec R1, R5). Keys are those of
// Upsun's API, in which it is stored and served.

/** What is kept of one type of environment. */
export interface RetentionPolicy {
  /** Manual and automated backups of an environment together; 0 for no limit. */
  readonly max_backups: number;
  readonly default_config: {
    /** Manual backups; a further one replaces the oldest. 0 for no limit. */
    readonly manual_count: number;
    /** Automated backups; several schedules combine. */
    readonly schedule: readonly { readonly interval: string; readonly count: number }[];
  };
}

export type DataRetention = Readonly<Record<EnvironmentType, RetentionPolicy>>;

/** A change to one type: what is left out stays. The keys of `default_config` may come without it, and mean the same. */
export interface RetentionChange {
  readonly max_backups?: number | undefined;
  readonly manual_count?: number | undefined;
  readonly schedule?: RetentionPolicy["default_config"]["schedule"] | undefined;
  readonly default_config?:
    | {
        readonly manual_count?: number | undefined;
        readonly schedule?: RetentionPolicy["default_config"]["schedule"] | undefined;
      }
    | undefined;
}

/** The setting's key in the catalog: a map from types to what was set of them. */
export const retentionKey = "data_retention";

const types = ["production", "staging", "development"] as const satisfies readonly EnvironmentType[];

type Schedule = readonly (readonly [interval: string, count: number])[];
const none: Schedule = [];
const commercePro = (first: Schedule[number]): Schedule => [first, ["1d", 4], ["1w", 5], ["2w", 3], ["1M", 3]];

// Figures: spec R2 and R5, upsun-api.md section 5.
const schedules: Readonly<Record<ProfileName, Readonly<Record<EnvironmentType, Schedule>>>> = {
  upsun: { production: [["1d", 2]], staging: none, development: none },
  "platformsh-basic": { production: [["1d", 2]], staging: none, development: none },
  "platformsh-advanced": {
    production: [
      ["1d", 6],
      ["1w", 3],
      ["1M", 12],
    ],
    staging: none,
    development: none,
  },
  "platformsh-premium": {
    production: [
      ["6h", 3],
      ["1d", 30],
      ["1M", 11],
    ],
    staging: none,
    development: none,
  },
  "commerce-starter": { production: none, staging: none, development: none },
  "commerce-pro": { production: commercePro(["1h", 72]), staging: commercePro(["1h", 72]), development: none },
  "commerce-pro-6h": { production: commercePro(["6h", 12]), staging: commercePro(["6h", 12]), development: none },
};

/** What holds for a type of environment while nothing was set. */
export function defaultRetention(profile: ProfileName, type: EnvironmentType): RetentionPolicy {
  return {
    max_backups: 0,
    default_config: {
      manual_count: manualBackupPolicy(profile, type).count ?? 0,
      schedule: schedules[profile][type].map(([interval, count]) => ({ interval, count })),
    },
  };
}

/** The project's retention: its profile's, with what was set on top. @param set the setting's value, as it was stored */
export function dataRetention(profile: ProfileName, set: JsonValue | undefined): DataRetention {
  const stored = (set ?? {}) as Partial<Record<EnvironmentType, RetentionChange>>;
  const of = (type: EnvironmentType): RetentionPolicy => merged(defaultRetention(profile, type), stored[type] ?? {});
  return { production: of("production"), staging: of("staging"), development: of("development") };
}

/** The setting's value after a change. Null for a type, or for all: as the profile has it again. */
export function mergeRetention(
  set: JsonValue | undefined,
  change: Readonly<Partial<Record<EnvironmentType, RetentionChange | null | undefined>>> | null,
): JsonObject | undefined {
  if (change === null) return undefined;
  const stored = { ...(set as Partial<Record<EnvironmentType, RetentionChange>> | undefined) };
  for (const type of types) {
    const changed = change[type];
    if (changed === null) delete stored[type];
    else if (changed !== undefined) stored[type] = combined(stored[type] ?? {}, changed);
  }
  return Object.keys(stored).length === 0 ? undefined : (JSON.parse(JSON.stringify(stored)) as JsonObject);
}

/** What holds for manual backups of a type of environment, with what was set. */
export function manualPolicy(
  profile: ProfileName,
  type: EnvironmentType,
  set: JsonValue | undefined,
): ManualBackupPolicy {
  const policy = manualBackupPolicy(profile, type);
  const { manual_count: count } = dataRetention(profile, set)[type].default_config;
  return { ...policy, count: count === 0 ? undefined : count };
}

/** Both ways to write the inner keys become one. */
function combined(before: RetentionChange, change: RetentionChange): RetentionChange {
  const inner = {
    ...definedOnly(before.default_config ?? {}),
    ...definedOnly({ manual_count: change.manual_count, schedule: change.schedule }),
    ...definedOnly(change.default_config ?? {}),
  };
  return {
    ...definedOnly({ max_backups: change.max_backups ?? before.max_backups }),
    ...(Object.keys(inner).length === 0 ? {} : { default_config: inner }),
  };
}

function merged(defaults: RetentionPolicy, set: RetentionChange): RetentionPolicy {
  return {
    max_backups: set.max_backups ?? defaults.max_backups,
    default_config: {
      manual_count: set.default_config?.manual_count ?? defaults.default_config.manual_count,
      schedule: set.default_config?.schedule ?? defaults.default_config.schedule,
    },
  };
}

function definedOnly<T extends object>(value: T): Partial<T> {
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined)) as Partial<T>;
}
