import { z } from "zod";

const argv = z
  .array(z.string())
  .min(1)
  .refine((words) => words[0] !== "", "the first word must name a program");

/**
 * `{ type: "directory", path: "/var/lib/search", freeze: ["sync-it"], thaw: ["go-on"] }`: a data folder on this machine.
 * `freeze` and `thaw` are argument vectors, no shell. `freeze` makes the service write down what it has and stop writing;
 * `thaw` lets it go on, always runs after `freeze`, and must do no harm where nothing is frozen.
 */
export const directoryConfigSchema = z
  .strictObject({
    type: z.literal("directory"),
    path: z.string().min(1),
    freeze: argv.optional(),
    thaw: argv.optional(),
    /** Prefix under which both commands run; the folder itself is a local one. */
    exec: z.array(z.string().min(1)).optional(),
  })
  .refine(({ freeze, thaw }) => (freeze === undefined) === (thaw === undefined), {
    error: "freeze and thaw belong together: give both or neither",
  });

export type DirectoryConfig = z.infer<typeof directoryConfigSchema>;
