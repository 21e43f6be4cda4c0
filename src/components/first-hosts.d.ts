/**
 * The first host of each lab, by the lab's name. The build puts it in (`astro.config.mjs`): topologies read files that
 * lie beside them, which a bundle has not.
 */
declare const FIRST_HOSTS: Readonly<Record<string, string>>;
