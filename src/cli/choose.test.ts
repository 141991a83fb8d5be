import { describe, expect, test } from "vitest";
import { parseConfig, type Config } from "../config/index.ts";
import { chooseEnvironment, chooseProject } from "./choose.ts";
import { modeText } from "./commands/mode-text.ts";
import { collectSelections, parseSourceSelection } from "./commands/source-selection.ts";

const project = (name: string, environments: string): string => `  ${name}:
    repository: { passwordFile: k, replicas: [{ name: d, type: local, path: r }] }
    environments: { ${environments} }
`;
const config = (...projects: string[]): Config =>
  parseConfig(`version: 1\nstate: s\nprojects:\n${projects.join("")}`, "/x/holdfast.yaml", {});

const shop = project("shop", "main: { type: production }, dev: { type: development }");

describe("the project and environment of a command", () => {
  test("are the only ones, unless they are named", () => {
    const one = chooseProject(config(shop).projects, undefined);
    expect(one.id).toBe("shop");
    expect(chooseEnvironment(one, undefined).id).toBe("main");
    expect(chooseEnvironment(one, ".").id).toBe("main");
    expect(chooseEnvironment(one, "dev").id).toBe("dev");
  });

  test("have to be named where there are several", () => {
    const several = config(shop, project("blog", "a: { type: staging }, b: { type: staging }"));
    expect(() => chooseProject(several.projects, undefined)).toThrow("several projects");
    const blog = chooseProject(several.projects, "blog");
    expect(() => chooseEnvironment(blog, undefined)).toThrow("several environments and none is production");
    expect(() => chooseProject(several.projects, "shpo")).toThrow('no project "shpo"');
    expect(() => chooseEnvironment(blog, "c")).toThrow('no environment "c"');
  });
});

describe("--only", () => {
  test("names a component, or a path in it", () => {
    expect(parseSourceSelection("service:db")).toEqual({ source: "service:db" });
    expect(parseSourceSelection("mount:app/media")).toEqual({ source: "mount:app/media" });
    expect(parseSourceSelection("mount:app/media:/2026/01/")).toEqual({ source: "mount:app/media", path: "2026/01" });
    expect(parseSourceSelection("code:app:a:b")).toEqual({ source: "code:app", path: "a:b" });
    expect(collectSelections("service:db", [{ source: parseSourceSelection("code:app").source }])).toHaveLength(2);
  });

  test("refuses what names none, and paths that lead out", () => {
    for (const wrong of ["db", "mount:media", "service:", "mount:app/media:../x", "mount:app/media:a//b", "x:y"]) {
      expect(() => parseSourceSelection(wrong), wrong).toThrow(/this names no component|the path has an empty name/);
    }
  });
});

test("modes look as ls writes them", () => {
  expect(modeText({ type: "dir", mode: 0o2755 })).toBe("drwxr-sr-x");
  expect(modeText({ type: "file", mode: 0o4644 })).toBe("-rwSr--r--");
  expect(modeText({ type: "dir", mode: 0o1777 })).toBe("drwxrwxrwt");
  expect(modeText({ type: "symlink", mode: 0o777 })).toBe("lrwxrwxrwx");
});
