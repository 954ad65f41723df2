#!/bin/sh
# A machine on AWS that runs tradingd as a service. Needs the aws command line, logged in.
#
#   deploy/aws.sh --region eu-central-1 --key-pair NAME --ssh-from 203.0.113.7/32
#
#   --instance-type TYPE    default t3.2xlarge
#   --region REGION         required
#   --key-pair NAME         required: an EC2 key pair of that region
#   --ssh-from CIDR         who may reach port 22; without it nobody may (use Session Manager)
#   --source URL            the git repository the machine installs from (required)
#   --disk GIB              default 30; encrypted
#   --s3-bucket NAME        also make a private, versioned, encrypted bucket for backups, and copy them there hourly
#   --rds                   also make a PostgreSQL instance (db.t4g.micro, encrypted, reachable by the machine alone)
#   --name NAME             default tradingd
#   --dry-run               print every command, do nothing
#
# The control API stays on the machine's loopback: reach it with  ssh -L 8080:127.0.0.1:8080 admin@ADDRESS
set -eu

instance_type=t3.2xlarge region='' key_pair='' ssh_from='' source='' disk=30 bucket='' rds='' name=tradingd dry=''

die() { echo "aws.sh: $*" >&2; exit 2; }
while [ $# -gt 0 ]; do
    case $1 in
        --instance-type|--region|--key-pair|--ssh-from|--source|--disk|--s3-bucket|--name)
            if [ $# -lt 2 ] || [ -z "$2" ]; then die "$1 needs a value"; fi ;;
    esac
    case $1 in
        --instance-type) instance_type=$2; shift ;;
        --region) region=$2; shift ;;
        --key-pair) key_pair=$2; shift ;;
        --ssh-from) ssh_from=$2; shift ;;
        --source) source=$2; shift ;;
        --disk) disk=$2; shift ;;
        --s3-bucket) bucket=$2; shift ;;
        --name) name=$2; shift ;;
        --rds) rds=yes ;;
        --dry-run) dry=yes ;;
        -h|--help) sed -n '2,18s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) die "unknown option $1 (see --help)" ;;
    esac
    shift
done
[ -n "$region" ] || die "--region is required, such as --region eu-central-1"
[ -n "$key_pair" ] || die "--key-pair is required: the name of an EC2 key pair in $region"
[ -n "$source" ] || die "--source is required: the git URL the machine installs tradingd from"
[ "$ssh_from" != 0.0.0.0/0 ] || die "--ssh-from 0.0.0.0/0 lets everybody knock: name your own address"
case $disk in ''|*[!0-9]*) die "--disk $disk: write a number of GiB" ;; esac
case $name in ''|*[!a-z0-9-]*) die "--name $name: write small letters, digits and -" ;; esac
case $source in *[!A-Za-z0-9:/@._~-]*) die "--source: write a plain git URL" ;; esac
case $bucket in *[!a-z0-9.-]*) die "--s3-bucket $bucket: write small letters, digits, . and -" ;; esac

# What changes something goes through `act`; its answer is on stdout.
act() {
    if [ -n "$dry" ]; then
        echo "+ aws --region $region $*" >&2
        echo "dry-run"
    else
        aws --region "$region" --output text "$@"
    fi
}
if [ -z "$dry" ] && ! command -v aws > /dev/null; then
    die "the aws command line is missing: https://docs.aws.amazon.com/cli/"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
tag() { printf 'ResourceType=%s,Tags=[{Key=Name,Value=%s}]' "$1" "$name"; }

image=$(act ssm get-parameter --name /aws/service/debian/release/12/latest/amd64 --query Parameter.Value)
vpc=$(act ec2 describe-vpcs --filters Name=is-default,Values=true --query 'Vpcs[0].VpcId')
[ "$vpc" != None ] || die "there is no default VPC in $region: make one with 'aws ec2 create-default-vpc'"

group=$(act ec2 create-security-group --group-name "$name" --description "tradingd: nothing but ssh comes in" \
    --vpc-id "$vpc" --tag-specifications "$(tag security-group)" --query GroupId)
if [ -n "$ssh_from" ]; then
    act ec2 authorize-security-group-ingress --group-id "$group" --protocol tcp --port 22 --cidr "$ssh_from" > /dev/null
fi

profile=''
if [ -n "$bucket" ]; then
    if [ "$region" = us-east-1 ]; then
        act s3api create-bucket --bucket "$bucket" > /dev/null
    else
        act s3api create-bucket --bucket "$bucket" \
            --create-bucket-configuration "LocationConstraint=$region" > /dev/null
    fi
    act s3api put-public-access-block --bucket "$bucket" --public-access-block-configuration \
        BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true > /dev/null
    act s3api put-bucket-versioning --bucket "$bucket" --versioning-configuration Status=Enabled > /dev/null
    act s3api put-bucket-encryption --bucket "$bucket" --server-side-encryption-configuration \
        '{"Rules":[{"ApplyServerSideEncryptionByDefault":{"SSEAlgorithm":"aws:kms"}}]}' > /dev/null
    printf '%s' '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}' > "$work/trust.json"
    # It may add copies, and neither read nor remove them: whoever takes the machine cannot take the past.
    printf '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::%s/*"}]}' "$bucket" > "$work/policy.json"
    act iam create-role --role-name "$name" --assume-role-policy-document "file://$work/trust.json" > /dev/null
    act iam put-role-policy --role-name "$name" --policy-name backups --policy-document "file://$work/policy.json" > /dev/null
    act iam create-instance-profile --instance-profile-name "$name" > /dev/null
    act iam add-role-to-instance-profile --instance-profile-name "$name" --role-name "$name" > /dev/null
    [ -n "$dry" ] || aws --region "$region" iam wait instance-profile-exists --instance-profile-name "$name"
    profile="Name=$name"
fi

{
    echo '#!/bin/sh'
    echo 'set -eu'
    echo 'export DEBIAN_FRONTEND=noninteractive'
    echo 'apt-get update'
    echo 'apt-get install -y --no-install-recommends git python3 python3-venv python3-dev gcc libc6-dev unattended-upgrades'
    echo "git clone --depth 1 '$source' /opt/tradingd-source"
    echo '/opt/tradingd-source/deploy/install.sh'
    if [ -n "$bucket" ]; then
        echo 'apt-get install -y --no-install-recommends awscli'
        echo 'mkdir -p /etc/systemd/system/tradingd-backup.service.d'
        echo 'cat > /etc/systemd/system/tradingd-backup.service.d/s3.conf <<\UNIT'
        echo '[Service]'
        echo 'PrivateNetwork=no'
        echo 'RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6'
        echo "ExecStartPost=/bin/sh -c 'cd /var/lib/tradingd-backup && f=\$\$(ls -1 tradingd-*.tar.gz | tail -n 1) && aws s3 cp --only-show-errors \"\$\$f\" s3://$bucket/$name/\"\$\$f\"'"
        echo 'UNIT'
        echo 'systemctl daemon-reload'
    fi
} > "$work/user-data.sh"

set -- ec2 run-instances --image-id "$image" --instance-type "$instance_type" --key-name "$key_pair" \
    --security-group-ids "$group" --user-data "file://$work/user-data.sh" \
    --metadata-options HttpTokens=required,HttpEndpoint=enabled \
    --block-device-mappings "DeviceName=/dev/xvda,Ebs={VolumeSize=$disk,VolumeType=gp3,Encrypted=true}" \
    --tag-specifications "$(tag instance)" --query 'Instances[0].InstanceId'
[ -z "$profile" ] || set -- "$@" --iam-instance-profile "$profile"
instance=$(act "$@")

if [ -n "$rds" ]; then
    database=$(act ec2 create-security-group --group-name "$name-database" --vpc-id "$vpc" \
        --description "tradingd: PostgreSQL for the machine alone" --query GroupId)
    act ec2 authorize-security-group-ingress --group-id "$database" --protocol tcp --port 5432 \
        --source-group "$group" > /dev/null
    # The password is made and kept by AWS (Secrets Manager): it is on no command line.
    act rds create-db-instance --db-instance-identifier "$name" --engine postgres --db-instance-class db.t4g.micro \
        --allocated-storage 20 --storage-encrypted --no-publicly-accessible --vpc-security-group-ids "$database" \
        --master-username tradingd --manage-master-user-password --db-name tradingd --backup-retention-period 7 \
        --deletion-protection > /dev/null
fi

if [ -n "$dry" ]; then
    echo "--- what the machine does at its first start:" >&2
    cat "$work/user-data.sh" >&2
    exit 0
fi
aws --region "$region" ec2 wait instance-running --instance-ids "$instance"
address=$(act ec2 describe-instances --instance-ids "$instance" --query 'Reservations[0].Instances[0].PublicIpAddress')
echo "$instance runs at $address; tradingd installs itself in a few minutes."
echo "ssh -L 8080:127.0.0.1:8080 admin@$address    then http://127.0.0.1:8080/docs"
