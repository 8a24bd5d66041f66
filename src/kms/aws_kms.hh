#pragma once

#include <string>

#include "crypto/crypto.hh"
#include "kms/key_services.hh"

namespace seawall::kms {

/// The key `key_id` (id, ARN or alias) of AWS KMS in `region`; empty: where AWS_REGION or the profile says. Requests as
/// of API version 2014-11-01, signed with the credentials that S3 is asked with. Data keys are made here and encrypted
/// there, as by WAL-G: the permissions kms:Encrypt and kms:Decrypt are enough. AWS_ENDPOINT_URL_KMS says where to ask.
crypto::KeyService aws_kms(const std::string& key_id, const std::string& region, const Surroundings& surroundings);

}  // namespace seawall::kms
