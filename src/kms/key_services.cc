#include "kms/key_services.hh"

#include "kms/aws_kms.hh"
#include "kms/yandex_kms.hh"

namespace seawall::kms {

crypto::KeyServices key_services(Surroundings surroundings) {
  crypto::KeyServices services;
  services.aws = [surroundings](const std::string& key_id, const std::string& region) {
    return aws_kms(key_id, region, surroundings);
  };
  services.yandex = [surroundings](const crypto::KeyServices::Yandex& key) { return yandex_kms(key, surroundings); };
  return services;
}

}  // namespace seawall::kms
