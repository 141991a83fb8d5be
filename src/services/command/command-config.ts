import { z } from "zod";

const argv = z
  .array(z.string())
  .min(1)
  .refine((words) => words[0] !== "", "the first word must name a program");

/**
 * `{ type: "command", dump: ["ledger-dump"], restore: ["ledger-load"] }`: argument vectors, no shell.
 * `dump` writes the data to standard output, `restore` replaces the data by what it reads from standard input. Each
 * exits with 0 exactly if it succeeded.
 */
export const commandConfigSchema = z.strictObject({
  type: z.literal("command"),
  dump: argv,
  restore: argv,
  /** Prefix under which both run. */
  exec: z.array(z.string().min(1)).optional(),
});

export type CommandConfig = z.infer<typeof commandConfigSchema>;
