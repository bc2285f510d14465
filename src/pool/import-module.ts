/** The import module under which a guest finds pools. */
export const POOL_IMPORTS = 'stasis_pool';
