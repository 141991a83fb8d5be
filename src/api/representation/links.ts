/** Paths of the API's resources; ids encoded. */
export const hrefs = {
  project: (project: string) => `/projects/${encodeURIComponent(project)}`,
  environment: (project: string, environment: string) =>
    `${hrefs.project(project)}/environments/${encodeURIComponent(environment)}`,
  backup: (project: string, environment: string, backup: string) =>
    `${hrefs.environment(project, environment)}/backups/${encodeURIComponent(backup)}`,
  activity: (project: string, activity: string) =>
    `${hrefs.project(project)}/activities/${encodeURIComponent(activity)}`,
  user: (user: string) => `/users/${encodeURIComponent(user)}`,
} as const;

export type Links = Record<string, { readonly href: string }>;

/** HAL links; those that are undefined or false are left out. */
export function links(entries: Readonly<Record<string, string | false | undefined>>): Links {
  return Object.fromEntries(
    Object.entries(entries).flatMap(([name, href]) => (href === undefined || href === false ? [] : [[name, { href }]])),
  );
}
