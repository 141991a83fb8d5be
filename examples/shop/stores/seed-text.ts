import { createHash } from "node:crypto";

/**
 * The text of seed row `number`: the same each time, `sizeBytes` long, and as compressible as a shop's text is (about
 * three to one).
 */
export function seedText(number: number, sizeBytes: number): string {
  const words = createHash("sha256").update(String(number)).digest("hex");
  const parts: string[] = [];
  let length = 0;
  for (let part = 0; length < sizeBytes; part += 1) {
    const from = (part * 7) % 56;
    const text = `${words.slice(from, from + 8)} ships within ${part % 9} days; colour ${words.slice(part % 60, (part % 60) + 4)}. `;
    parts.push(text);
    length += text.length;
  }
  return parts.join("").slice(0, sizeBytes);
}
