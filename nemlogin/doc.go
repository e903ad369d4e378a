// Package nemlogin is a client of the NemLog-in IdM services, the API by which
// an organisation administers its users' rights in MitID Erhverv.
//
// One [Client] serves one organisation (one CVR number, one certificate). It is
// safe for concurrent use. Every call goes through the same chain:
//
//	Client method          checks its input, builds the request, decodes the answer
//	  retry                repeats what is safe to repeat, by class and verb
//	    auth               bearer token; one forced refresh after a 401
//	      limiter          most requests in flight, adapts to the service
//	        metrics        counts and times what really went out
//	          gate         read-only mode: refuses whatever could change something
//	            wire       TLS with client certificate, time limit, whole answers
//
// # What an answer means
//
// Unknown is never empty: a read that is empty, null, truncated, of the wrong
// shape, or has an entry that cannot be identified is a failed read, never a
// shorter list. Any 2xx answer to a write is a success whatever its body. A
// write without an answer is never repeated here, because it may have been
// carried out: the caller reads back and decides.
//
// # Errors
//
// Everything that fails at the service or on the way is an [*Error] with a
// [Class] that says what to do next; writes of several roles fail with a
// [*WriteError] that names the roles. [ClassOf] finds the class of any error. No
// error text, log line or metric has a token or a CPR number in it.
package nemlogin
