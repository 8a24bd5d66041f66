#pragma once

#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include <memory>
#include <string_view>

#include "base/bytes.hh"

/// Owners of OpenSSL's objects, for this room and those that sign with its keys.
namespace seawall::crypto::ossl {

template <auto release>
struct Freed {
  template <class T>
  void operator()(T* object) const noexcept {
    release(object);
  }
};

using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, Freed<EVP_CIPHER_CTX_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Freed<EVP_MD_CTX_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, Freed<EVP_PKEY_CTX_free>>;
using Number = std::unique_ptr<BIGNUM, Freed<BN_clear_free>>;
using NumberContext = std::unique_ptr<BN_CTX, Freed<BN_CTX_free>>;
using ParamsBuilder = std::unique_ptr<OSSL_PARAM_BLD, Freed<OSSL_PARAM_BLD_free>>;
using Params = std::unique_ptr<OSSL_PARAM, Freed<OSSL_PARAM_free>>;

/// Errc::bug naming what OpenSSL could not do, unless `ok`. For what only a broken or hardened installation refuses;
/// what depends on foreign bytes is checked by the caller.
void check(bool ok, std::string_view what);

inline unsigned char* raw(std::byte* bytes) noexcept { return reinterpret_cast<unsigned char*>(bytes); }
inline const unsigned char* raw(const std::byte* bytes) noexcept {
  return reinterpret_cast<const unsigned char*>(bytes);
}

/// Unpredictable bytes for keys and nonces.
void fill_random(MutableBytes into);

}  // namespace seawall::crypto::ossl
