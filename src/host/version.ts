/** This program's version, as in `package.json`. */
export const HOST_VERSION = '0.1.0';
