import { z } from "zod";

/** `{ type: "sqlite", path: "/srv/shop/data/flags.db" }`: a local file; a symbolic link to one is followed. */
export const sqliteConfigSchema = z.strictObject({
  type: z.literal("sqlite"),
  path: z.string().min(1),
});

export type SqliteConfig = z.infer<typeof sqliteConfigSchema>;
