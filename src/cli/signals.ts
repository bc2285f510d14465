/** Signals that end the guest in an orderly way when its host gets one. */
export const HOST_SIGNALS = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM'] as const;
