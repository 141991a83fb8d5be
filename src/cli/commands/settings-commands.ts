import type { Command } from "commander";
import { HoldfastError } from "../../base/index.ts";
import type { Invocation } from "../offline/session.ts";
import { say } from "../offline/session.ts";
import { openControlPlane } from "../open-control-plane.ts";
import { addFormatOption } from "../output/data-options.ts";
import type { TableFormat } from "../output/table.ts";
import type { RunCommand } from "../run-command.ts";
import { renderProperties } from "./property-output.ts";

interface SettingsOptions {
  readonly format?: TableFormat;
}

export function registerSettingsCommands(program: Command, run: RunCommand): void {
  addFormatOption(
    program
      .command("settings:get")
      .description("Show the project's settings: which backups are kept")
      .argument("[key]", "only this one; dots lead into it: data_retention.production.max_backups"),
  ).action(run((invocation, options: SettingsOptions, key?: string) => get(invocation, options, key)));
  program
    .command("settings:set")
    .description("Change one of the project's settings; what is in it and not named stays as it is")
    .argument("<key>", "data_retention.production.max_backups")
    .argument("<value>", "JSON, or a text; null takes what was set away, so that the profile's holds again")
    .action(run((invocation, _options: unknown, key = "", value = "") => set(invocation, key, value)));
}

async function get(invocation: Invocation, { format }: SettingsOptions, key: string | undefined): Promise<number> {
  await using plane = await openControlPlane(invocation);
  const data = { data_retention: await plane.retention() };
  const options = {
    header: true,
    ...(format === undefined ? {} : { format }),
    ...(key === undefined ? {} : { property: key }),
  };
  invocation.host.stdout.write(renderProperties("A project", data, options));
  return 0;
}

async function set(invocation: Invocation, key: string, value: string): Promise<number> {
  const names = key.split(".");
  if (names.some((name) => !/^\w+$/.test(name))) {
    throw new HoldfastError("INPUT_INVALID", `${JSON.stringify(key)} is no key of a setting.`, {
      remedy: "See which there are:  holdfast settings:get",
    });
  }
  const change = names.reduceRight<unknown>((inner, name) => ({ [name]: inner }), valueOf(value));
  await using plane = await openControlPlane(invocation);
  await plane.changeSettings(change);
  say(invocation, `The settings of ${plane.project.id} have been changed.`);
  return 0;
}

function valueOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return text;
    throw error;
  }
}
