/**
 * Names what the instrumenter makes of a module. Raised whenever the same module would come out
 * differently: a plan of one version means nothing to another.
 */
export const INSTRUMENTER_VERSION = '3';
