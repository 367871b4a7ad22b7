export type { ServerOptions } from './options';
export { createServer, type ListenOptions, type Server } from './server';
