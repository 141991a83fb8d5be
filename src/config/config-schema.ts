import { isIP } from "node:net";
import { z } from "zod";
import { parseDurationMs } from "../base/index.ts";
import { profileNames } from "../control/index.ts";

const name = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/,
    "a name has 1 to 63 letters, digits, dots, dashes and underscores, and starts with a letter or digit",
  );

const path = z
  .string()
  .min(1, "a path is not empty")
  .refine((text) => !text.includes("\0"), "a path has no NUL byte");

/** An argument vector, or a line for /bin/sh. */
const command = z.union([z.string().min(1), z.array(z.string()).min(1)], {
  error: "a command is a line for the shell or a list of arguments",
});

/** Parts whose schema depends on their `type`; they are checked on their own, see `driver-schemas.ts`. */
const typed = z.looseObject({ type: z.string() });

const application = z.strictObject({
  code: path.optional(),
  mounts: z.record(name, path).default({}),
  exclude: z.array(z.string().min(1)).default([]),
});

const hooks = z.strictObject({
  beforeHold: z.array(command).default([]),
  afterRelease: z.array(command).default([]),
  beforeRestore: z.array(command).default([]),
  afterRestore: z.array(command).default([]),
});

const environment = z.strictObject({
  title: z.string().optional(),
  type: z.enum(["production", "staging", "development"]),
  status: z.enum(["active", "inactive", "paused"]).default("active"),
  parent: name.optional(),
  gateway: typed.optional(),
  applications: z.record(name, application).default({}),
  services: z.record(name, typed).default({}),
  hooks: hooks.default({ beforeHold: [], afterRelease: [], beforeRestore: [], afterRestore: [] }),
});

const repository = z.strictObject({
  passwordFile: path.optional(),
  passwordCommand: command.optional(),
  passwordVariable: z
    .string()
    .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "the name of an environment variable has letters, digits and underscores")
    .optional(),
  verifyWrites: z.boolean().default(false),
  required: z.int().min(1).default(1),
  replicas: z.array(typed.extend({ name })).min(1, "a repository has at least one replica"),
});

const project = z.strictObject({
  title: z.string().optional(),
  profile: z.enum(profileNames).default("upsun"),
  repository,
  environments: z.record(name, environment),
});

const catalogUrl = z.string().refine((text) => {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return url !== undefined && /^postgres(ql)?:$/.test(url.protocol) && url.pathname.length > 1;
}, 'must look like "postgresql://user:password@host:5432/database"');

/** "127.0.0.1:4400", "[::1]:4400", "0.0.0.0:0". */
const listenAddress = z.string().transform((text, context) => {
  const match = /^(?:\[([0-9a-f:.]+)\]|([\w.-]+)):(\d{1,5})$/i.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    context.addIssue('must look like "127.0.0.1:4400"');
    return z.NEVER;
  }
  return { host: match[1] ?? match[2] ?? "", port };
});

const publicUrl = z
  .string()
  .refine((text) => URL.canParse(text) && /^https?:/.test(text), 'must look like "https://backups.example.com"');

const network = z.string().refine((text) => {
  const [address = "", prefix] = text.split("/");
  const bits = isIP(address) === 6 ? 128 : 32;
  return isIP(address) !== 0 && (prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= bits));
}, 'must be an address or a network such as "10.0.0.0/8"');

/** "90d"; at least a day, so that nobody loses sight of what has just ended. */
const keepingTime = z.string().transform((text, context) => {
  const durationMs = parseDurationMs(text);
  if (durationMs !== undefined && durationMs >= 86_400_000) return durationMs;
  context.addIssue('must be a day or more, such as "90d"');
  return z.NEVER;
});

const server = z.strictObject({
  listen: listenAddress.optional(),
  catalog: catalogUrl.optional(),
  publicUrl: publicUrl.optional(),
  tls: z.strictObject({ certificateFile: path, keyFile: path }).optional(),
  keepActivities: keepingTime.optional(),
  trustedProxies: z.array(network).default([]),
});

/** The whole of holdfast.yaml, apart from what depends on a `type`. */
export const configSchema = z.strictObject({
  version: z.literal(1),
  state: path,
  server: server.optional(),
  projects: z.record(name, project),
});

export type ConfigData = z.output<typeof configSchema>;
