import { z } from "zod";
import { id, links, named, timestamp } from "./shape.ts";

export const environmentType = z.enum(["production", "staging", "development"]);

export const project = named(
  "Project",
  z.strictObject({
    id,
    created_at: timestamp,
    updated_at: timestamp,
    attributes: z.record(z.string(), z.string()),
    title: z.string(),
    description: z.string(),
    region: z.string(),
    /** The environment that commands mean when none is named. */
    default_branch: z.string().nullable(),
    status: z.strictObject({ code: z.string(), message: z.string() }),
    timezone: z.string(),
    vendor: z.string(),
    repository: z.strictObject({ url: z.string() }),
    subscription: z.strictObject({ license_uri: z.string(), plan: z.string() }),
    _links: links,
  }),
);

export const projectReference = named(
  "ProjectReference",
  z.strictObject({
    id,
    region: z.string(),
    title: z.string(),
    status: z.string(),
    organization_id: z.string(),
    subscription_id: z.string(),
    vendor: z.string(),
    created_at: timestamp,
    updated_at: timestamp,
  }),
);

export const environment = named(
  "Environment",
  z.strictObject({
    id,
    created_at: timestamp,
    updated_at: timestamp,
    name: z.string(),
    machine_name: z.string(),
    title: z.string(),
    attributes: z.record(z.string(), z.string()),
    type: environmentType,
    parent: id.nullable(),
    project: id,
    status: z.enum(["active", "inactive", "paused", "dirty", "deleting"]),
    is_main: z.boolean(),
    is_dirty: z.boolean(),
    has_code: z.boolean(),
    has_remote: z.boolean(),
    is_pr: z.boolean(),
    head_commit: z.string().nullable(),
    last_backup_at: timestamp.nullable(),
    deployment_target: z.string(),
    _links: links,
  }),
);
export type EnvironmentShape = z.output<typeof environment>;

/** Upsun has more to change. Whoever tries is told that it is in the configuration. */
export const environmentPatch = named(
  "EnvironmentPatch",
  z.looseObject({
    status: z.enum(["active", "inactive", "paused"]).optional(),
  }),
);

export const environmentSettings = named(
  "EnvironmentSettings",
  z.strictObject({ enable_manual_deployments: z.boolean(), _links: links }),
);

/** Nothing goes on after it. */
export const deletedEnvironment = named(
  "DeletedEnvironment",
  z.strictObject({
    status: z.string(),
    code: z.int(),
    _embedded: z.strictObject({ activities: z.array(z.never()) }),
  }),
);

export const activateInput = named(
  "ActivateInput",
  z.strictObject({
    resources: z.strictObject({ init: z.enum(["default", "minimum", "parent"]).nullish() }).nullish(),
  }),
);

export const environmentTypeShape = named(
  "EnvironmentType",
  z.strictObject({ id: environmentType, attributes: z.record(z.string(), z.string()), _links: links }),
);

/** What this server can do, as Upsun's clients ask for it. */
export const capabilities = named(
  "Capabilities",
  z.strictObject({
    data_retention: z.strictObject({ enabled: z.boolean() }),
    source_operations: z.strictObject({ enabled: z.boolean() }),
    runtime_operations: z.strictObject({ enabled: z.boolean() }),
    autoscaling: z.strictObject({ enabled: z.boolean() }),
    integrations: z.strictObject({ enabled: z.boolean(), config: z.record(z.string(), z.unknown()) }),
  }),
);
