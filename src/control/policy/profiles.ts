import { type EnvironmentId, HoldfastError, type ProjectId } from "../../base/index.ts";

/** What a profile says of one type of environment (spec C7, C8, R4). */
export interface ManualBackupPolicy {
  /** May backups be made by hand or by a user's cron? */
  readonly allowed: boolean;
  /** How many are kept; a further one replaces the oldest. Undefined for no limit. */
  readonly count: number | undefined;
  /** Days until a manual backup expires; undefined for never. */
  readonly expiryDays: number | undefined;
}

export type PolicyEnvironmentType = "production" | "staging" | "development";

export const profileNames = [
  "upsun",
  "platformsh-basic",
  "platformsh-advanced",
  "platformsh-premium",
  "commerce-starter",
  "commerce-pro",
  "commerce-pro-6h",
] as const;

export type ProfileName = (typeof profileNames)[number];

type Profile = Readonly<Record<PolicyEnvironmentType, ManualBackupPolicy>>;

const keeps = (count: number): ManualBackupPolicy => ({ allowed: true, count, expiryDays: undefined });
const forbidden: ManualBackupPolicy = { allowed: false, count: undefined, expiryDays: undefined };
const sevenDays: ManualBackupPolicy = { allowed: true, count: undefined, expiryDays: 7 };

// Figures: spec R4 and R5, upsun-api.md section 5. On Platform.sh every type but production is a preview environment.
const profiles: Readonly<Record<ProfileName, Profile>> = {
  upsun: { production: keeps(2), staging: keeps(2), development: keeps(2) },
  "platformsh-basic": { production: keeps(2), staging: keeps(2), development: keeps(2) },
  "platformsh-advanced": { production: keeps(4), staging: keeps(2), development: keeps(2) },
  "platformsh-premium": { production: keeps(4), staging: keeps(2), development: keeps(2) },
  "commerce-starter": { production: sevenDays, staging: sevenDays, development: sevenDays },
  "commerce-pro": { production: forbidden, staging: forbidden, development: sevenDays },
  "commerce-pro-6h": { production: forbidden, staging: forbidden, development: sevenDays },
};

/** What holds for manual backups of an environment of this type in a project of this profile. */
export function manualBackupPolicy(profile: ProfileName, type: PolicyEnvironmentType): ManualBackupPolicy {
  return profiles[profile][type];
}

/** Spec C8. @throws HoldfastError MANUAL_BACKUP_FORBIDDEN */
export function assertManualBackupAllowed(
  policy: ManualBackupPolicy,
  profile: ProfileName,
  project: ProjectId,
  environment: { readonly id: EnvironmentId; readonly type: PolicyEnvironmentType },
): void {
  if (policy.allowed) return;
  throw new HoldfastError(
    "MANUAL_BACKUP_FORBIDDEN",
    `The profile ${profile} of project ${project} allows no manual backups of ${environment.type} environments.`,
    {
      facts: { project, environment: environment.id, profile },
      remedy: "Its automated backups serve there. Choose another profile in the configuration to allow manual ones.",
    },
  );
}
