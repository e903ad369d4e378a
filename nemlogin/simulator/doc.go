// Package simulator is a MitID Erhverv of our own: a stateful server that answers the NemLog-in IdM services' calls with
// the same wire contract, the same quirks and, on demand, the same failures.
//
// It exists so that everything which talks to MitID Erhverv can be tested on real wire traffic, and so that people can try
// the product without an organisation or a certificate. It deliberately shares no code with the client it tests: it has
// its own wire types, so a misunderstanding in one is not repeated in the other.
//
// A Simulator is one organisation. [New] seeds it from a number, so that the same options always give the same people,
// roles and grants; [Simulator.Start] serves it with mutual TLS, and, when asked, an inspection API in plain HTTP on the
// loopback interface. Tests change the world directly (Grant, Revoke, AddRole, …), read it back ([Simulator.State]), look
// at what was called ([Simulator.Requests]), interfere with single calls ([Simulator.OnRequest]) and switch behaviours
// ([Simulator.SetFault]).
//
// Behaviours have names. The base behaviours are how the service is known or believed to act and are on from the start;
// faults are off. [Behaviours] lists both with a line about each.
package simulator
