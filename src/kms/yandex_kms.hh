#pragma once

#include "crypto/crypto.hh"
#include "kms/key_services.hh"

namespace seawall::kms {

/// A symmetric key of Yandex KMS, asked by its REST API as whom YC_SERVICE_ACCOUNT_KEY_FILE or the virtual machine
/// (YC_METADATA_ADDR) says. Data keys are made there, of AES-256; nothing is bound to a context, as with WAL-G.
crypto::KeyService yandex_kms(const crypto::KeyServices::Yandex& key, const Surroundings& surroundings);

}  // namespace seawall::kms
