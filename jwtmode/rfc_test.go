package jwtmode_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"math/big"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sessionbridge/sessionbridge/jwtmode"
)

// The examples of RFC 7515, appendix A, which ran out in 2011: a bubble's
// clock begins in 2000.
func TestRFC7515(t *testing.T) {
	const payload = ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
	decode := func(s string) []byte { return must(base64.RawURLEncoding.DecodeString(s)) }
	tests := []struct {
		name, alg string
		key       any
		token     string
	}{
		{
			"A.1", "HS256",
			decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"),
			"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9" + payload + "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
		},
		{
			"A.2", "RS256",
			&rsa.PublicKey{E: 65537, N: new(big.Int).SetBytes(decode("ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"))},
			"eyJhbGciOiJSUzI1NiJ9" + payload + "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
		},
		{
			"A.3", "ES256",
			must(ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, decode("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU")...), decode("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0")...))),
			"eyJhbGciOiJFUzI1NiJ9" + payload + "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAuth(t, jwtmode.Options{Algorithms: []string{tt.alg}, Key: tt.key, UserClaim: "iss", Leeway: -1})
				id, err := authenticate(a, withBearer(tt.token))
				if err != nil {
					t.Fatal(err)
				}
				if id.User != "joe" || !id.Expires.Equal(time.Unix(1300819380, 0)) || id.Claims["http://example.com/is_root"] != true {
					t.Errorf("got %+v", id)
				}
			})
		})
	}
}
