package jwtmode

import (
	"errors"
	"fmt"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// flaw is why a credential is bad: what the client is told, apart from the
// reason, which is logged. Neither holds anything of the token. The reasons
// wrap golang-jwt's errors, so that [errors.Is] tells them apart.
type flaw struct {
	code    bridge.Code
	message string
	reason  error
}

func (f *flaw) Error() string { return f.reason.Error() }

// The messages are those of socketio-jwt's lib/index.js and of jsonwebtoken's
// verify.js, which clients compare with; what jsonwebtoken puts behind "jwt
// audience invalid" and "jwt issuer invalid" is the service's configuration
// and is left out.
var (
	flawDatatype  = token("invalid token datatype", errors.New("the message has no token, or one that is not a string"))
	flawEmpty     = token("jwt must be provided", detail(jwt.ErrTokenMalformed, "it is empty"))
	flawUnsigned  = token("jwt signature is required", detail(jwt.ErrTokenSignatureInvalid, "there is none"))
	flawSignature = token("invalid signature", jwt.ErrTokenSignatureInvalid)
	flawAlgorithm = token("invalid algorithm", detail(jwt.ErrTokenUnverifiable, "its alg is not one of the Algorithms"))
	flawExpired   = token("jwt expired", jwt.ErrTokenExpired)
	flawNotActive = token("jwt not active", jwt.ErrTokenNotValidYet)
	flawNotIssued = token("jwt not active", detail(jwt.ErrTokenUsedBeforeIssued, "its iat lies ahead"))

	flawType  = token("invalid token type", detail(jwt.ErrTokenUnverifiable, "its typ is not the Type"))
	flawCheck = token("jwt not accepted", jwt.ErrTokenUnverifiable)

	flawAlgorithmOfKey = token("invalid algorithm", detail(jwt.ErrTokenUnverifiable, "its alg does not go with the key that was found for it"))
	flawUnknownKID     = token("invalid signature", detail(jwt.ErrTokenUnverifiable, "the JWKS has no key of its kid"))
	flawNoKey          = &flaw{bridge.CodeInvalidSecret, "no secret is known for this token", detail(jwt.ErrTokenUnverifiable, "KeyFunc knows no key")}

	flawHeader      = format("Format is Authorization: Bearer [token]", "the Authorization header is not of the form Bearer, space, token")
	flawSubprotocol = format("Format is Sec-WebSocket-Protocol: bearer, [token]", "the subprotocols are not one bearer and a token behind it")
	flawTwoTokens   = format("the request has two different tokens", "two sources hold different tokens")
)

// wrongAudience and wrongIssuer name what the options want, for the log.
func wrongAudience(want []string) *flaw {
	return token("jwt audience invalid", detail(jwt.ErrTokenInvalidAudience, fmt.Sprintf("its aud has none of %q", want)))
}

func wrongIssuer(want ...string) *flaw {
	text := fmt.Sprintf("its iss is not %q", want[0])
	if len(want) > 1 {
		text = fmt.Sprintf("its iss is none of %q", want)
	}
	return token("jwt issuer invalid", detail(jwt.ErrTokenInvalidIssuer, text))
}

func token(message string, reason error) *flaw {
	return &flaw{bridge.CodeInvalidToken, message, reason}
}

func format(message, reason string) *flaw {
	return &flaw{bridge.CodeCredentialsBadFormat, message, errors.New(reason)}
}

func detail(err error, text string) error { return fmt.Errorf("%w: %s", err, text) }

func malformed(text string) *flaw {
	return token("jwt malformed", detail(jwt.ErrTokenMalformed, text))
}
