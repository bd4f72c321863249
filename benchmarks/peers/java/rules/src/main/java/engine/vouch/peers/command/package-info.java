/** How every peer is started, says that it works, and ends. */
package engine.vouch.peers.command;
