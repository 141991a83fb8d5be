// Projects' records and rules: the catalog database and the retention profiles. Terms: catalog (the index of backups),
// profile (what a project's plan allows and keeps). It knows neither the CLI nor how requests are held.
export { setDamagedCatalogAside } from "./catalog/set-aside.ts";
export {
  type CatalogPlace,
  type EnvironmentStates,
  type OpenCatalog,
  openCatalog,
  type OpenCatalogOptions,
} from "./catalog/open-catalog.ts";
export {
  type ManualBackupPolicy,
  manualBackupPolicy,
  type PolicyEnvironmentType,
  type ProfileName,
  profileNames,
} from "./policy/profiles.ts";
