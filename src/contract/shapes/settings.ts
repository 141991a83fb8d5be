import { z } from "zod";
import { links, named } from "./shape.ts";

/** "1d", "6h", "2w", "1M", "1y". */
export const interval = z.string().regex(/^[1-9]\d{0,3}[hdwMy]$/, {
  error: "an interval is a number and one of h, d, w, M, y, such as 1d",
});
const count = z.int().min(0).max(10_000);

const schedule = named("RetentionSchedule", z.strictObject({ interval, count: z.int().min(1).max(10_000) }));

export const retention = named(
  "Retention",
  z.strictObject({
    /** Manual and automated ones together, for each environment; 0 for no limit. */
    max_backups: count,
    default_config: z.strictObject({
      /** Manual backups that are kept; a further one replaces the oldest. 0 for no limit. */
      manual_count: count,
      schedule: z.array(schedule).max(20),
    }),
  }),
);

const environmentTypeKeys = <S extends z.ZodType>(shape: S) =>
  z.strictObject({ production: shape, staging: shape, development: shape });

export const dataRetention = named("DataRetention", environmentTypeKeys(retention));
export type DataRetention = z.output<typeof dataRetention>;

/** With or without `default_config` around its keys: Upsun's documentation and its schema differ, so both are taken. */
const retentionPatch = named(
  "RetentionPatch",
  z.strictObject({
    max_backups: count.optional(),
    manual_count: count.optional(),
    schedule: z.array(schedule).max(20).optional(),
    default_config: z
      .strictObject({ manual_count: count.optional(), schedule: z.array(schedule).max(20).optional() })
      .optional(),
  }),
);
export type RetentionPatch = z.output<typeof retentionPatch>;

export const projectSettings = named(
  "ProjectSettings",
  z.strictObject({
    product_name: z.string(),
    product_code: z.string(),
    variables_prefix: z.string(),
    data_retention: dataRetention,
    sizing_api_enabled: z.boolean(),
    enable_paused_environments: z.boolean(),
    enable_incremental_backups: z.boolean(),
    _links: links,
  }),
);

export const projectSettingsPatch = named(
  "ProjectSettingsPatch",
  z.strictObject({
    /** Merged with what is set, key by key; null for a type: as the profile has it. */
    data_retention: z
      .strictObject({
        production: retentionPatch.nullish(),
        staging: retentionPatch.nullish(),
        development: retentionPatch.nullish(),
      })
      .nullish(),
  }),
);
export type ProjectSettingsPatch = z.output<typeof projectSettingsPatch>;

export const updatedSettings = named(
  "UpdatedProjectSettings",
  z.strictObject({
    status: z.string(),
    code: z.int(),
    _embedded: z.strictObject({ entity: projectSettings, activities: z.array(z.never()) }),
  }),
);
