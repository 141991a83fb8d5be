import { z } from "zod";

const name = z.string();
const text = z.string().min(1);

// Only `local` can be used so far; the others are checked, so that a file written for a later version is understood,
// and refused where a repository is opened.
const local = z.strictObject({ name, type: z.literal("local"), path: text });

const s3 = z.strictObject({
  name,
  type: z.literal("s3"),
  endpoint: z.url(),
  region: text.optional(),
  bucket: text,
  prefix: z.string().optional(),
  accessKeyId: text,
  secretAccessKey: text,
});

const sftp = z.strictObject({
  name,
  type: z.literal("sftp"),
  host: text,
  port: z.int().min(1).max(65_535).optional(),
  user: text.optional(),
  path: text,
  privateKeyFile: text.optional(),
  knownHostsFile: text.optional(),
});

export const replicaSchema = z.discriminatedUnion("type", [local, s3, sftp]);

/** One place that holds the whole repository. */
export type ReplicaConfig = z.output<typeof replicaSchema>;
