import { z } from "zod";

/** Shapes that have a name in the OpenAPI document. */
export const namedShapes = z.registry<{ readonly id: string }>();

/** Gives a shape the name under which the OpenAPI document has it. */
export function named<S extends z.ZodType>(id: string, shape: S): S {
  namedShapes.add(shape, { id });
  return shape;
}

/** "2026-11-21T04:12:00+00:00", as Upsun writes times. */
export const timestamp = z.iso.datetime({ offset: true });

/**
 * HAL: where to go from here. A name that begins with "#" is something that this caller may do now; one that is not there may
 * not be done, whether for lack of a role or because of the state.
 */
export const links = named("Links", z.record(z.string(), z.strictObject({ href: z.string() })));

/** An id in a path or a body: whatever it is, it is looked up and found or not. */
export const id = z.string().min(1).max(200);
